//! What `/openapi.json` says beyond what each handler says of itself: who may call, which headers there are, and that every
//! refusal is a problem document.

use contracts::headers;
use utoipa::openapi::header::HeaderBuilder;
use utoipa::openapi::path::{Operation, Parameter, ParameterBuilder, ParameterIn};
use utoipa::openapi::schema::{ObjectBuilder, Type};
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityRequirement, SecurityScheme};
use utoipa::openapi::{Header, OpenApi as Document, PathItem, RefOr, Required};
use utoipa::{Modify, OpenApi};

#[derive(OpenApi)]
#[openapi(
    info(
        title = "Pilot lifecycle API",
        version = "1",
        description = "Creates, runs and deletes workspaces. Every change answers 202 with an operation to watch; every error \
                       is a problem document (RFC 9457) with a stable `code`. A client has to expect codes, fields and values \
                       that it does not know; what is here stays as it is in version 1.",
        license(name = "Apache-2.0", identifier = "Apache-2.0")
    ),
    modifiers(&Everywhere)
)]
pub struct Described;

const TOKEN: &str = "token";

/// What is true of all routes.
struct Everywhere;

impl Modify for Everywhere {
    fn modify(&self, document: &mut Document) {
        let text = "The admin token for everything; the gateway's for `/v1/resolve`, `/v1/routes` and wakes.";
        let scheme = HttpBuilder::new().scheme(HttpAuthScheme::Bearer).description(Some(text)).build();
        let components = document.components.get_or_insert_default();
        components.add_security_scheme(TOKEN, SecurityScheme::Http(scheme));
        document.security = Some(vec![SecurityRequirement::new(TOKEN, [] as [&str; 0])]);
    }
}

/// The whole document, once all routes are in it.
pub fn complete(mut document: Document) -> Document {
    for (path, item) in &mut document.paths.paths {
        let is_open = !path.starts_with("/v1/");
        let is_of_one = path.starts_with("/v1/workspaces/{workspace}");
        for (changes, operation) in operations(item) {
            if is_open {
                // Anybody may ask.
                operation.security = Some(vec![SecurityRequirement::default()]);
            }
            let parameters = operation.parameters.get_or_insert_default();
            parameters.push(request_id());
            // Those that only look, those that may be repeated as they are, and what is done as often as it is asked for.
            let repeats = ["/preview", "/repair", "/wake", "/cancel", "/shared", "/exec", "/images"]
                .iter()
                .any(|end| path.ends_with(end));
            if changes && !is_open && !repeats {
                parameters.push(idempotency_key());
            }
            if changes && is_of_one && !repeats {
                parameters.push(if_match());
            }
            for (status, response) in &mut operation.responses.responses {
                let RefOr::T(response) = response else { continue };
                response
                    .headers
                    .insert(headers::REQUEST_ID.to_owned(), header("Of this request, in every log."));
                match status.as_str() {
                    "default" => problems(response),
                    "202" if !path.ends_with("/wake") && !path.starts_with("/v1/operations") => {
                        response.headers.insert("location".to_owned(), header("Where to see how it goes."));
                    }
                    "200" | "304" if !changes && path == "/v1/workspaces/{workspace}" => {
                        response.headers.insert("etag".to_owned(), header("Of this version."));
                    }
                    _ => {}
                }
            }
        }
    }
    document
}

/// Each, and whether it changes something.
fn operations(item: &mut PathItem) -> impl Iterator<Item = (bool, &mut Operation)> {
    [(false, &mut item.get), (true, &mut item.post), (true, &mut item.put), (true, &mut item.delete)]
        .into_iter()
        .filter_map(|(changes, operation)| Some((changes, operation.as_mut()?)))
}

fn problems(response: &mut utoipa::openapi::Response) {
    if let Some(content) = response.content.shift_remove("application/json") {
        response.content.insert(headers::PROBLEM_JSON.to_owned(), content);
    }
    if response.description.is_empty() {
        response.description =
            "It was refused, or it failed: the problem says why and what to do.".to_owned();
    }
    let text = "After how many seconds the same request may succeed.";
    response.headers.insert("retry-after".to_owned(), header(text));
}

fn header(description: &str) -> RefOr<Header> {
    let text = ObjectBuilder::new().schema_type(Type::String);
    RefOr::T(HeaderBuilder::new().schema(Some(text)).description(Some(description)).build())
}

fn parameter(name: &str, description: &str, pattern: Option<&str>) -> RefOr<Parameter> {
    let text = ObjectBuilder::new().schema_type(Type::String).pattern(pattern);
    let parameter = ParameterBuilder::new()
        .name(name)
        .parameter_in(ParameterIn::Header)
        .required(Required::False)
        .description(Some(description))
        .schema(Some(text));
    RefOr::T(parameter.build())
}

fn request_id() -> RefOr<Parameter> {
    let text = "Names the request in every log: 1 to 64 letters, digits, `-` and `_`. Another is made when it is absent or not so.";
    parameter(headers::REQUEST_ID, text, None)
}

fn idempotency_key() -> RefOr<Parameter> {
    let text = "The same key with the same request within a day is answered with the same operation; with another request it is \
                refused (`idempotency_conflict`).";
    parameter(headers::IDEMPOTENCY_KEY, text, Some("^[!-~]{1,128}$"))
}

fn if_match() -> RefOr<Parameter> {
    let text = "The `ETag` of the version that the request is about; refused when there is a newer one (`precondition_failed`).";
    parameter("if-match", text, None)
}
