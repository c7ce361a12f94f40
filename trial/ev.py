"""conditions of a saved run of the bench, cheap"""
