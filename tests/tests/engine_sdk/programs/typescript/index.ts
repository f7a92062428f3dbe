// A home on this machine, with Pilot's SDK for TypeScript.
import * as pulumi from "@pulumi/pulumi";
import * as pilot from "@pilot/pulumi";

const config = new pulumi.Config();

const home = new pilot.local.Directory("home", {
    runtimeId: "rt-00000000000000aa",
    installation: "in-00000000000000aa",
    generation: config.requireNumber("generation"),
});

export const path = home.path;
export const generation = home.generation;
export const providers = pilot
    .getProvidersOutput()
    .providers.apply((providers) => providers.map((provider) => provider.name));
