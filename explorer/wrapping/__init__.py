"""Models that are not timm's: a module of somebody's own, or one of torchvision's, as a `Model` like any other."""
