from accounting.models import metadatas
from hanse.migrations import run_env

run_env(*metadatas)
