//! Provider packages: those a program declares beforehand, and parameterized ones.

use super::Context;
use super::connection::refused;
use crate::program_error::ProgramError;
use crate::setters::setters;
use crate::wire as rpc;

/// A provider package that a program uses (Pulumi: *package dependency*).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Package {
    /// Of the provider's plugin.
    pub name: String,
    /// Of the provider's plugin.
    pub version: String,
    /// Where the plugin is downloaded from; empty for the usual place.
    pub download_url: String,
    /// For a plugin that is made into another package by a parameter.
    pub parameterization: Option<Parameterization>,
    /// For a plugin whose own package a parameter adds to (Pulumi: *extension parameterization*). The provider of
    /// the package is told of it before the first resource, function or method that names it, and the state keeps it
    /// as long as a resource does. Pulumi 3.248 does not know extensions and takes no notice of them.
    pub extension: Option<Parameterization>,
}

setters!(Package { download_url(String), parameterization(Option<Parameterization>), extension(Option<Parameterization>) });

impl Package {
    /// This version of the provider's plugin.
    pub fn new(name: impl Into<String>, version: impl Into<String>) -> Self {
        Self { name: name.into(), version: version.into(), ..Self::default() }
    }
}

/// What makes one plugin into another package (Pulumi: *parameterization*).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Parameterization {
    /// Of the package it becomes.
    pub name: String,
    /// Of the package it becomes.
    pub version: String,
    /// For the plugin alone to understand.
    pub value: Vec<u8>,
}

impl Parameterization {
    /// The package of this name and version.
    pub fn new(name: impl Into<String>, version: impl Into<String>, value: impl Into<Vec<u8>>) -> Self {
        Self { name: name.into(), version: version.into(), value: value.into() }
    }
}

/// A package that the engine knows, for one run (Pulumi: `packageRef`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PackageReference(pub(super) String);

impl Context {
    /// Makes a package known to the engine, for [`super::ResourceOptions::package`]. Needed for
    /// parameterized packages and extensions only.
    pub async fn package(&self, package: Package) -> Result<PackageReference, ProgramError> {
        let request = rpc::RegisterPackageRequest {
            name: package.name,
            version: package.version,
            download_url: package.download_url,
            parameterization: package.parameterization.map(to_wire),
            extension: package.extension.map(to_wire),
        };
        let response = self.inner.monitor.clone().register_package(request).await.map_err(refused)?;
        Ok(PackageReference(response.into_inner().r#ref))
    }
}

fn to_wire(parameterization: Parameterization) -> rpc::Parameterization {
    let Parameterization { name, version, value } = parameterization;
    rpc::Parameterization { name, version, value }
}
