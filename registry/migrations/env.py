from hanse.migrations import run_env
from registry.models import metadatas

run_env(*metadatas)
