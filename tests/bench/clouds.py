"""The document that a cloud of the usual size publishes: four VOs, forty images, twenty sizes."""

from __future__ import annotations

from tests.registry.clouds import Document, cloud_document

VOS = ("training.egi.eu", "fedcloud.egi.eu", "chipster", "biomed")


def document(site: str, minutes: int = 0) -> Document:
    """What `site` publishes; another text for each of `minutes`."""
    made = cloud_document(site, vos=VOS, url=f"https://cloud.{site.lower()}.example/")
    images, sizes = made["CloudComputingImage"], made["CloudComputingInstanceType"]
    images += [{**images[1], "ID": f"image-{n}", "Name": f"Image {n}"} for n in range(38)]
    sizes += [{**sizes[0], "ID": f"size-{n}", "Name": f"size {n}", "CPU": 1 + n} for n in range(17)]
    made["CloudComputingService"][0]["Complexity"] = f"minute {minutes}"
    return made
