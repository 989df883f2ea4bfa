"""The stages of a build, which know one another only through `restem.dataset.record`."""
