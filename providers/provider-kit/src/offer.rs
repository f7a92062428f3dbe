//! What a module makes of the size and the region that a runtime asks for. What is offered to new ones is judged where it is asked
//! for; a declaration refuses only what the module cannot make.

use contracts::workspace::Region;
use contracts::{ErrorCode, ProviderName};
use provider_api::{ProviderError, Result};

/// The size of this name among those that the module can make.
pub fn size<'a, T>(
    provider: &ProviderName,
    sizes: &'a [T],
    name: impl Fn(&'a T) -> &'a str,
    wanted: &str,
) -> Result<&'a T> {
    sizes.iter().find(|size| name(size) == wanted).ok_or_else(|| {
        let known: Vec<_> = sizes.iter().map(name).collect();
        refused(ErrorCode::UnknownSize, format!("the provider {provider} has no size {wanted:?}"), &known)
    })
}

/// The region of this name; the first when none is wanted. `None` where there are no regions, and then none can be wanted.
pub fn region<'a>(
    provider: &ProviderName,
    regions: &'a [Region],
    wanted: Option<&str>,
) -> Result<Option<&'a Region>> {
    let Some(wanted) = wanted else { return Ok(regions.first()) };
    regions.iter().find(|region| region.name == wanted).map(Some).ok_or_else(|| {
        let known: Vec<_> = regions.iter().map(|region| region.name.as_str()).collect();
        refused(ErrorCode::UnknownRegion, format!("the provider {provider} has no region {wanted:?}"), &known)
    })
}

fn refused(code: ErrorCode, message: String, known: &[&str]) -> ProviderError {
    let action = match known {
        [] => "Leave it out: there is nothing to choose.".to_owned(),
        known => format!("Use one of: {}.", known.join(", ")),
    };
    ProviderError::new(code, message).with_action(action)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NAME: ProviderName = ProviderName::constant("my-cloud");

    fn regions() -> Vec<Region> {
        ["north", "south"].map(|name| Region { name: name.to_owned(), title: String::new() }).to_vec()
    }

    #[test]
    fn a_size_is_found_by_its_name_and_another_is_refused_with_those_that_there_are() {
        let sizes = [("small", 1), ("large", 8)];
        assert_eq!(size(&NAME, &sizes, |size| size.0, "large").unwrap().1, 8);
        let error = size(&NAME, &sizes, |size| size.0, "huge").unwrap_err();
        assert_eq!(error.code, ErrorCode::UnknownSize);
        assert_eq!(error.message, "the provider my-cloud has no size \"huge\"");
        assert_eq!(error.action.as_deref(), Some("Use one of: small, large."));
    }

    #[test]
    fn the_first_region_is_the_usual_one_and_where_there_is_none_none_can_be_wanted() {
        let name =
            |wanted| region(&NAME, &regions(), wanted).map(|found| found.map(|found| found.name.clone()));
        assert_eq!(name(None).unwrap().as_deref(), Some("north"));
        assert_eq!(name(Some("south")).unwrap().as_deref(), Some("south"));
        let error = name(Some("east")).unwrap_err();
        assert_eq!(
            (error.code, error.action.as_deref()),
            (ErrorCode::UnknownRegion, Some("Use one of: north, south."))
        );
        assert!(region(&NAME, &[], None).unwrap().is_none());
        assert_eq!(region(&NAME, &[], Some("east")).unwrap_err().code, ErrorCode::UnknownRegion);
    }
}
