from hanse.migrations import run_env
from vomsdb.models import metadatas

run_env(*metadatas)
