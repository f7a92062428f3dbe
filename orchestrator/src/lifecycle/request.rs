//! From what a client sent to what can be accepted. All checks that need no I/O.

use std::collections::BTreeMap;

use contracts::egress::EgressAllow;
use contracts::operation::Update;
use contracts::workspace::{CreateWorkspace, GitSource, Image, UpdateWorkspace};
use contracts::{ErrorCode, Problem, Slug, WorkspaceRef};
use provider_api::{Description, Provider};
use provider_kit::image::readable;
use std::sync::Arc;
use std::time::Duration;
use url::Url;

use super::reaches::{self, egress};
use crate::engine::provider_problem;
use crate::wiring::Providers;

/// The longest that a provider is asked what an image is: the command waits for an answer for 30 s.
const LOOK: Duration = Duration::from_secs(25);

/// A create request whose every field is usable.
pub struct ValidCreate {
    pub slug: Slug,
    pub provider: Arc<dyn Provider>,
    pub description: Description,
    pub size: String,
    pub region: Option<String>,
    pub git: Option<GitSource>,
    pub egress: Option<EgressAllow>,
    pub owner: String,
    pub labels: BTreeMap<String, String>,
}

pub fn validate(
    request: CreateWorkspace,
    providers: &Providers,
    default: &str,
) -> Result<ValidCreate, Problem> {
    let slug = slug(&request.slug)?;
    let provider = providers.get(request.provider.as_deref().unwrap_or(default))?;
    let description = provider.describe();
    let size = size(request.size, &description)?;
    let region = region(request.region, &description)?;
    if let Some(git) = &request.git {
        check_git(git)?;
    }
    let egress = match request.egress_allow {
        Some(texts) => egress(&texts, provider.as_ref())?.list(),
        None => provider.egress().and_then(|offer| offer.usual),
    };
    if let (Some(git), Some(list)) = (&request.git, &egress) {
        reaches::must_reach(list, git)?;
    }
    let owner = request.owner.map(owner).transpose()?.unwrap_or_default();
    check_labels(&request.labels)?;
    let (git, labels) = (request.git, request.labels);
    let provider = Arc::clone(provider);
    Ok(ValidCreate { slug, provider, description, size, region, git, egress, owner, labels })
}

/// As workspaces have them; an empty one is a mistake, not everybody.
pub fn owner(text: String) -> Result<String, Problem> {
    if (1..=128).contains(&text.chars().count()) && !text.chars().any(|c| c.is_whitespace() || c.is_control())
    {
        return Ok(text);
    }
    let detail = "An owner has 1 to 128 printable characters without spaces.";
    Err(Problem::new(ErrorCode::BadRequest, detail))
}

fn check_labels(labels: &BTreeMap<String, String>) -> Result<(), Problem> {
    let plain = |name: &str| name.chars().all(|c| c.is_ascii_alphanumeric() || "._/-".contains(c));
    let refused = labels.iter().find(|(name, value)| {
        !(1..=63).contains(&name.len()) || !plain(name) || value.chars().count() > 128 || value.contains('\0')
    });
    let detail = match refused {
        Some((name, _)) => format!(
            "The label {name:?} is not usable: a name has 1 to 63 of a-z, A-Z, 0-9, '.', '_', '/' and '-', a value at \
             most 128 characters."
        ),
        None if labels.len() > 16 => "A workspace has 16 labels at most.".to_owned(),
        None => return Ok(()),
    };
    Err(Problem::new(ErrorCode::BadRequest, detail))
}

pub fn slug(text: &str) -> Result<Slug, Problem> {
    text.parse().map_err(|error: contracts::ids::InvalidName| {
        Problem::new(ErrorCode::InvalidSlug, format!("{error}."))
            .with_action("Choose a name like `demo` or `my-app2`: it becomes a part of a host name.")
    })
}

/// By its id or its slug. What cannot be one names no workspace.
pub fn workspace(text: &str) -> Result<WorkspaceRef, Problem> {
    text.parse().map_err(|error: contracts::ids::InvalidName| {
        Problem::new(ErrorCode::WorkspaceNotFound, format!("There is none of this name: {error}."))
            .with_action("`pilot ws ls` lists those that exist.")
    })
}

fn size(wanted: Option<String>, provider: &Description) -> Result<String, Problem> {
    let known: Vec<&str> = provider.sizes.iter().map(|size| size.name.as_str()).collect();
    match wanted {
        None => Ok(known.first().copied().unwrap_or_default().to_owned()),
        Some(name) if known.contains(&name.as_str()) => Ok(name),
        Some(name) => {
            let detail = format!("The provider {} has no size {name:?}.", provider.name);
            Err(Problem::new(ErrorCode::UnknownSize, detail)
                .with_action(format!("Use one of: {}.", known.join(", "))))
        }
    }
}

/// What is to change, with what the image's name means now.
pub async fn update(body: UpdateWorkspace, provider: &dyn Provider) -> Result<Update, Problem> {
    let description = provider.describe();
    if body == UpdateWorkspace::default() {
        let detail =
            "An update names an image, a size or a list of destinations, and this one names none of them.";
        return Err(Problem::new(ErrorCode::BadRequest, detail));
    }
    let size = match body.size {
        Some(name) => Some(size(Some(name), &description)?),
        None => None,
    };
    let egress = body.egress_allow.map(|texts| egress(&texts, provider)).transpose()?;
    let image = match body.image {
        Some(reference) => Some(image(&reference, provider).await?),
        None => None,
    };
    Ok(Update { image, size, egress, ..Update::default() })
}

/// What a name means at this provider now.
pub async fn image(reference: &str, provider: &dyn Provider) -> Result<Image, Problem> {
    let name = provider.describe().name;
    let Some(images) = provider.images() else {
        let detail = format!("Workspaces of the provider {name} have no images of their own.");
        let action = "`pilot provider ls --json` shows what the workspaces of each provider are made from (`image`): those without \
                      have none of their own.";
        return Err(Problem::new(ErrorCode::CapabilityUnsupported, detail).with_action(action));
    };
    if !(1..=512).contains(&reference.len())
        || reference.contains(|c: char| c.is_whitespace() || c.is_control())
    {
        let detail = "An image is named by 1 to 512 characters without spaces.";
        return Err(Problem::new(ErrorCode::BadRequest, detail));
    }
    readable(reference).map_err(provider_problem)?;
    resolved(images.resolve(reference)).await
}

/// Who asked waits for the answer, and not for long.
async fn resolved(resolving: impl Future<Output = provider_api::Result<Image>>) -> Result<Image, Problem> {
    let late = |_| {
        let detail = format!("The provider did not say within {} s what the image is.", LOOK.as_secs());
        Problem::new(ErrorCode::ProviderTimeout, detail).with_action("Nothing was changed: try it again.")
    };
    tokio::time::timeout(LOOK, resolving).await.map_err(late)?.map_err(provider_problem)
}

/// What a new workspace is made from; `None` where it has no image of its own.
pub async fn usual_image(provider: &dyn Provider) -> Result<Option<Image>, Problem> {
    let Some(images) = provider.images() else { return Ok(None) };
    let reference = images.default_reference().map_err(provider_problem)?;
    resolved(images.resolve(&reference)).await.map(Some)
}

fn region(wanted: Option<String>, provider: &Description) -> Result<Option<String>, Problem> {
    let known: Vec<&str> = provider.regions.iter().map(|region| region.name.as_str()).collect();
    let Some(name) = wanted else { return Ok(known.first().map(|&name| name.to_owned())) };
    if known.contains(&name.as_str()) {
        return Ok(Some(name));
    }
    let detail = format!("The provider {} has no region {name:?}.", provider.name);
    let action = match known.is_empty() {
        true => "Leave the region out: this provider has one place only.".to_owned(),
        false => format!("Use one of: {}.", known.join(", ")),
    };
    Err(Problem::new(ErrorCode::UnknownRegion, detail).with_action(action))
}

fn check_git(git: &GitSource) -> Result<(), Problem> {
    let refuse = |reason: &str| {
        let action = "Give a URL like https://example.com/team/repo.git, without a password.";
        Err(Problem::new(ErrorCode::InvalidGitUrl, reason.to_owned()).with_action(action))
    };
    let Ok(url) = Url::parse(&git.url) else {
        return match git.url.split_once(':') {
            // The two shorthands of git itself, in the form that is unambiguous here.
            Some((host, path)) if host.contains('@') => {
                refuse(&format!("The git URL has no scheme. Write it as ssh://{host}/{path}."))
            }
            _ if git.url.starts_with('/') => {
                refuse(&format!("The git URL has no scheme. Write it as file://{}.", git.url))
            }
            _ => refuse("The git URL is not a URL."),
        };
    };
    if !["https", "http", "ssh", "git", "file"].contains(&url.scheme()) {
        return refuse("The git URL must begin with https://, http://, ssh://, git:// or file://.");
    }
    if url.password().is_some() || (!url.username().is_empty() && url.scheme() != "ssh") {
        return refuse("The git URL holds credentials, which would end in plain text in the stack's state.");
    }
    if let Some(reference) = &git.reference {
        let plain = |c: char| c.is_ascii_alphanumeric() || "._/-+@#".contains(c);
        if reference.is_empty() || reference.starts_with('-') || !reference.chars().all(plain) {
            return refuse("The git ref must be the name of a branch or a tag.");
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use contracts::egress::EgressChoice;

    use super::*;
    use crate::store::WorkspaceRow;

    #[tokio::test]
    async fn what_no_registry_reads_is_refused_whatever_the_provider_would_say() {
        let provider = provider_fake::conformance::fixture().await.provider;
        for reference in ["127.0.0.1:7120/Team/App:1", "[::1]:7120/app:1", "http://127.0.0.1:7120/app:1"] {
            let problem = image(reference, provider.as_ref()).await.unwrap_err();
            assert_eq!(problem.code.known(), Some(ErrorCode::BadRequest), "{reference}");
            assert!(problem.action.is_some());
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_provider_that_does_not_say_what_an_image_is_is_given_up_before_the_command_gives_up() {
        let began = tokio::time::Instant::now();
        let problem = resolved(std::future::pending()).await.unwrap_err();
        assert_eq!(problem.code.known(), Some(ErrorCode::ProviderTimeout));
        assert!(began.elapsed() < Duration::from_secs(30));
    }

    fn git(url: &str, reference: Option<&str>) -> Result<(), ErrorCode> {
        let source = GitSource { url: url.to_owned(), reference: reference.map(str::to_owned) };
        check_git(&source).map_err(|problem| problem.code.known().unwrap())
    }

    #[test]
    fn usable_git_sources_are_accepted() {
        for url in ["https://h/x.git", "file:///tmp/repo", "ssh://git@h/x", "git://h/x", "http://h:8080/x"] {
            assert_eq!(git(url, Some("feature/a-1")), Ok(()), "{url}");
        }
    }

    #[test]
    fn gits_own_shorthands_are_answered_with_the_url_to_write() {
        let detail =
            |url: &str| check_git(&GitSource { url: url.to_owned(), reference: None }).unwrap_err().detail;
        assert!(detail("git@example.com:team/app.git").contains("ssh://git@example.com/team/app.git"));
        assert!(detail("/srv/repo").contains("file:///srv/repo"));
    }

    #[test]
    fn credentials_options_and_odd_schemes_are_refused() {
        for url in ["x", "--upload-pack=evil", "ext::sh -c evil", "https://user:pw@h/x", "https://token@h/x"]
        {
            assert_eq!(git(url, None), Err(ErrorCode::InvalidGitUrl), "{url}");
        }
        for reference in ["", "--evil", "a b", "a\nb"] {
            assert_eq!(git("https://h/x", Some(reference)), Err(ErrorCode::InvalidGitUrl), "{reference:?}");
        }
    }

    #[test]
    fn owners_and_labels_are_what_can_be_shown_and_searched_for() {
        for good in ["ann", "ann@example.com", "Ännchen"] {
            assert!(owner(good.to_owned()).is_ok(), "{good}");
        }
        for bad in ["", "a b", "a\nb", &"x".repeat(129)] {
            assert!(owner(bad.to_owned()).is_err(), "{bad:?}");
        }
        let labels = |name: &str, value: &str| BTreeMap::from([(name.to_owned(), value.to_owned())]);
        assert_eq!(check_labels(&labels("team/x-1", "a \"b\" %_")), Ok(()));
        for (name, value) in [("", "x"), ("a b", "x"), ("a\"", "x"), ("a", "\0"), ("a", &"x".repeat(129))] {
            assert!(check_labels(&labels(name, value)).is_err(), "{name:?}");
        }
        let many = (0..17).map(|index| (format!("l{index}"), String::new())).collect();
        assert!(check_labels(&many).is_err());
    }

    #[tokio::test]
    async fn another_list_alone_is_an_update_and_the_same_again_is_none() {
        let provider = provider_fake::conformance::fixture().await.provider;
        let body = UpdateWorkspace { egress_allow: Some(vec!["a.com".to_owned()]), ..Default::default() };
        let wanted = update(body, provider.as_ref()).await.unwrap();
        let row = WorkspaceRow::new("demo".parse().unwrap(), "fake".parse().unwrap(), "small".to_owned());
        let updated = row.updated(&wanted);
        assert_eq!(
            (updated.egress.clone().unwrap().texts(), updated.generation),
            (vec!["a.com".to_owned()], 2)
        );
        assert_eq!(updated.updated(&wanted), updated);
        let back = Update { egress: Some(EgressChoice::All), ..Update::default() };
        assert_eq!((updated.updated(&back).egress, updated.updated(&back).generation), (None, 3));
        assert_eq!(updated.updated(&Update::default()).egress, updated.egress);
    }

    #[tokio::test]
    async fn another_size_alone_asks_nothing_about_images_and_keeps_the_one_that_there_is() {
        let provider = provider_fake::conformance::fixture().await.provider;
        let sizes: Vec<_> = provider.describe().sizes.into_iter().map(|size| size.name).collect();
        let asked =
            |size: &str| UpdateWorkspace { size: Some(size.to_owned()), ..UpdateWorkspace::default() };
        let wanted = update(asked(&sizes[1]), provider.as_ref()).await.unwrap();
        assert_eq!(wanted, Update { size: Some(sizes[1].clone()), ..Update::default() });
        let image = Some(Image::named("as-it-is"));
        let slug = "demo".parse().unwrap();
        let row =
            WorkspaceRow { image, ..WorkspaceRow::new(slug, "fake".parse().unwrap(), sizes[0].clone()) };
        let updated = row.updated(&wanted);
        assert_eq!((&updated.image, &updated.size, updated.generation), (&row.image, &sizes[1], 2));
        assert_eq!(updated.updated(&wanted), updated, "it has it already");
        let unknown = update(asked("enormous"), provider.as_ref()).await.unwrap_err();
        assert_eq!(unknown.code, ErrorCode::UnknownSize);
        let none = UpdateWorkspace::default();
        assert_eq!(update(none, provider.as_ref()).await.unwrap_err().code, ErrorCode::BadRequest);
    }
}
