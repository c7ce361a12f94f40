"""Models that are not timm's: a module of somebody's own, one of torchvision's or of transformers', as a `Model`."""
