"""The configuration: one YAML file, decoded once into frozen structs; every error shown together."""
