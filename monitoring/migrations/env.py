from hanse.migrations import run_env
from monitoring.models import metadatas

run_env(*metadatas)
