"""A home on this machine, with Pilot's SDK for Python."""

import pulumi
import pulumi_pilot as pilot

config = pulumi.Config()

home = pilot.local.Directory(
    "home",
    runtime_id="rt-00000000000000aa",
    installation="in-00000000000000aa",
    generation=config.require_int("generation"),
)

pulumi.export("path", home.path)
pulumi.export("generation", home.generation)
pulumi.export(
    "providers",
    pilot.get_providers_output().providers.apply(lambda found: [provider.name for provider in found]),
)
