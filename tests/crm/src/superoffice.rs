//! A stand-in of SuperOffice's REST API: an HTTP server on this machine, with a tenant in memory.
//!
//! It is stricter than the documents where carelessness could hide: unknown columns, operators and fields are refused, `$skip` is, who
//! is added to a list twice is on it twice, and a person is a member only with their own company. It can be told to misbehave
//! ([`Misbehaviour`]), and writes down every request with its time.

mod answer;
mod archive;
mod data;
mod entities;
mod filter;
mod http;
mod login;
mod person;
mod world;

use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Instant;

use domain::crm::ListKind;
use domain::{Clock, SystemClock};

use answer::Response;
use data::Data;
use http::{Delivery, Request};
use login::Login;

pub use data::{Company, Email, Person};

/// The tenant.
pub const TENANT: &str = "Cust12345";
/// The id of the application that is registered.
pub const CLIENT_ID: &str = "the-client";
/// Its secret.
pub const CLIENT_SECRET: &str = "the-client-secret";
/// The refresh token of a user who consented.
pub const REFRESH_TOKEN: &str = "the-refresh-token";
/// The token of the application's own user.
pub const SYSTEM_USER_TOKEN: &str = "nachfass-4711abcdef";
/// The application's RSA key, for tests only.
pub const PRIVATE_KEY: &str = include_str!("superoffice/key/private.pem");
/// A certificate with this key for this machine, signed by itself.
pub const CERTIFICATE: &str = include_str!("superoffice/key/certificate.pem");

/// Something that goes wrong.
#[derive(Clone, Debug)]
pub enum Misbehaviour {
    /// Answers with a status, and does nothing.
    Answer {
        /// The status.
        status: u16,
        /// `Retry-After`.
        retry_after: Option<String>,
    },
    /// Does it, and closes the connection instead of answering.
    LoseAnswer,
    /// Does it, and never answers.
    NeverAnswer,
    /// Does it, and breaks off in the middle of the answer's body.
    TearBody,
    /// Sends elsewhere, and does nothing.
    Redirect(String),
    /// Before it is done, somebody gives a person another first address, within the same second as the last change.
    Readdress {
        /// Whose.
        person: i64,
        /// The address.
        email: String,
    },
    /// Before it is done, somebody changes something else about a person, a minute later.
    Rename {
        /// Whose name it is.
        person: i64,
        /// The name.
        name: String,
    },
}

/// A request, as it came.
#[derive(Clone, Debug)]
pub struct Seen {
    /// When.
    pub at: Instant,
    /// GET, POST, PATCH, PUT or DELETE.
    pub method: String,
    /// The path below `/api/v1/` of the tenant, or the whole path of the login.
    pub path: String,
    /// The parameters, decoded.
    pub query: Vec<(String, String)>,
    /// The headers, their names in lower case.
    pub headers: Vec<(String, String)>,
    /// What was answered.
    pub status: u16,
}

impl Seen {
    /// A parameter.
    #[must_use]
    pub fn parameter(&self, name: &str) -> Option<&str> {
        self.query.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }
}

/// What is to go wrong, and how often.
struct Rule {
    /// A part of `METHOD path`.
    matching: String,
    times: u32,
    what: Misbehaviour,
}

struct State {
    data: Data,
    login: Login,
    rules: Vec<Rule>,
    seen: Vec<Seen>,
}

/// The server; it ends with this.
pub struct SuperOffice {
    state: Arc<Mutex<State>>,
    address: SocketAddr,
    stopped: Arc<AtomicBool>,
}

impl SuperOffice {
    /// Starts one with the machine's own clock.
    #[must_use]
    pub fn start() -> Self {
        Self::start_with(Arc::new(SystemClock))
    }

    /// Starts one.
    ///
    /// # Panics
    /// Where it cannot listen.
    #[must_use]
    pub fn start_with(clock: Arc<dyn Clock>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("an address");
        let login = Login::new(clock.clone(), format!("http://{address}"));
        let state = State { data: Data::new(clock), login, rules: Vec::new(), seen: Vec::new() };
        let this = Self { state: Arc::new(Mutex::new(state)), address, stopped: Arc::default() };
        let (state, stopped) = (this.state.clone(), this.stopped.clone());
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                if stopped.load(Ordering::SeqCst) {
                    break;
                }
                let state = state.clone();
                std::thread::spawn(move || http::serve(stream, |request| answer(&state, request)));
            }
        });
        this
    }

    /// Where tenants and tokens are asked for.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The configuration of nachfass that reaches it, with so many requests a second.
    #[must_use]
    pub fn toml(&self, requests_per_second: u16) -> String {
        format!(
            "[crm]\nkind = \"superoffice\"\n\n[crm.superoffice]\nlogin_url = \"{}\"\ntenant = \"{TENANT}\"\n\
             client_id = \"{CLIENT_ID}\"\nclient_secret = \"{CLIENT_SECRET}\"\nauth = \"refresh_token\"\n\
             refresh_token = \"{REFRESH_TOKEN}\"\nrequests_per_second = {requests_per_second}\n\
             allow_hosts = [\"127.0.0.1\"]\nwebhook_secret = \"hush\"\n",
            self.url()
        )
    }

    /// There are so many persons, with the ids from 1: `person{id}@example.com`, ten in each company, none of them changed since 2020.
    pub fn generate(&self, persons: i64) {
        self.lock().data.generated = persons;
    }

    /// Looks at a person, or at none.
    #[must_use]
    pub fn person(&self, id: i64) -> Option<Person> {
        self.lock().data.person(id).map(std::borrow::Cow::into_owned)
    }

    /// Changes a person at the present moment, as a user of SuperOffice would.
    ///
    /// # Panics
    /// Where there is none.
    pub fn change(&self, id: i64, change: impl FnOnce(&mut Person)) {
        self.lock().data.change(id, change).expect("a person");
    }

    /// Changes a company at the present moment.
    ///
    /// # Panics
    /// Where there is none.
    pub fn change_company(&self, id: i64, change: impl FnOnce(&mut Company)) {
        self.lock().data.change_company(id, change).expect("a company");
    }

    /// The members of a list, as (person, company), in the order of persons, each as often as they are on it.
    ///
    /// # Panics
    /// Where there is no such list.
    #[must_use]
    pub fn members(&self, kind: ListKind, list: i64) -> Vec<(i64, i64)> {
        let state = self.lock();
        let members = &state.data.lists(kind).get(&list).expect("a list").members;
        members.iter().map(|(person, _, company)| (*person, *company)).collect()
    }

    /// The lists there are: id and name.
    #[must_use]
    pub fn lists(&self, kind: ListKind) -> Vec<(i64, String)> {
        self.lock().data.lists(kind).iter().map(|(id, list)| (*id, list.name.clone())).collect()
    }

    /// How many tasks there are.
    #[must_use]
    pub fn count_tasks(&self) -> usize {
        self.lock().data.appointments.len()
    }

    /// Misbehaves at the next requests, so many `times`, whose `METHOD path` has this in it.
    pub fn misbehave(&self, matching: &str, times: u32, what: Misbehaviour) {
        self.lock().rules.push(Rule { matching: matching.to_owned(), times, what });
    }

    /// Behaves again.
    pub fn behave(&self) {
        let mut state = self.lock();
        state.rules.clear();
        state.login.uses = None;
    }

    /// The user has only these rights to a table (`Select, Update`); `diary` stands for the diaries of others.
    pub fn restrict(&self, table: &str, mask: &str) {
        self.lock().data.masks.insert(table.to_owned(), mask.to_owned());
    }

    /// No list has this column.
    pub fn refuse_column(&self, name: &str) {
        self.lock().data.refused_column = Some(name.to_owned());
    }

    /// Each token is good for so many requests from now on, those that are out included.
    pub fn expire_tokens_after(&self, requests: u32) {
        let mut state = self.lock();
        state.login.uses = Some(requests);
        state.login.left = Some(requests);
    }

    /// The token that is out is good for nothing any more.
    pub fn expire_token(&self) {
        self.lock().login.left = Some(0);
    }

    /// The tenant moves to another host: requests to the one before are answered with 421.
    pub fn move_tenant(&self) {
        self.lock().login.server += 1;
    }

    /// The tenant is said to be in this state.
    pub fn set_state(&self, name: &str, is_running: bool) {
        self.lock().login.state = (name.to_owned(), is_running);
    }

    /// The tenant is said to be at this URL.
    pub fn set_api(&self, url: &str) {
        self.lock().login.api = Some(url.to_owned());
    }

    /// All requests so far.
    #[must_use]
    pub fn requests(&self) -> Vec<Seen> {
        self.lock().seen.clone()
    }

    /// How many requests there were so far whose `METHOD path` has this in it.
    #[must_use]
    pub fn count(&self, matching: &str) -> usize {
        let state = self.lock();
        state.seen.iter().filter(|seen| format!("{} {}", seen.method, seen.path).contains(matching)).count()
    }

    /// Forgets the requests so far.
    pub fn forget_requests(&self) {
        self.lock().seen.clear();
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }
}

impl Drop for SuperOffice {
    fn drop(&mut self) {
        self.stopped.store(true, Ordering::SeqCst);
        // Whoever waits for connections looks again.
        TcpStream::connect(self.address).ok();
    }
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

/// Answers a request, as well as it may.
fn answer(state: &Mutex<State>, request: &Request) -> (Response, Delivery) {
    let mut state = lock(state);
    let State { data, login, rules, seen } = &mut *state;
    let path = login.within(&request.path).unwrap_or(&request.path).to_owned();
    let what = format!("{} {path}", request.method);
    let rule = rules.iter_mut().find(|rule| rule.times > 0 && what.contains(&rule.matching));
    let rule = rule.map(|rule| {
        rule.times -= 1;
        rule.what.clone()
    });
    let (mut delivery, mut response) = (Delivery::Whole, None);
    match rule {
        None => {}
        Some(Misbehaviour::Answer { status, retry_after }) => {
            let mut made = Response::fault(status, "SoInternalException");
            made.headers.extend(retry_after.map(|value| ("retry-after", value)));
            response = Some(made);
        }
        Some(Misbehaviour::Redirect(url)) => {
            response = Some(Response { headers: vec![("location", url)], ..Response::empty(302) });
        }
        Some(Misbehaviour::LoseAnswer) => delivery = Delivery::Lost,
        Some(Misbehaviour::NeverAnswer) => delivery = Delivery::Never,
        Some(Misbehaviour::TearBody) => delivery = Delivery::Torn,
        Some(Misbehaviour::Readdress { person, email }) => {
            data.change_quietly(person, |person| person.emails[0].address = email);
        }
        Some(Misbehaviour::Rename { person, name }) => data.change_later(person, 60, |person| person.name = name),
    }
    let response = response.unwrap_or_else(|| respond(data, login, request));
    seen.push(Seen {
        at: request.at,
        method: request.method.clone(),
        path,
        query: request.query.clone(),
        headers: request.headers.clone(),
        status: response.status,
    });
    (response, delivery)
}

fn respond(data: &mut Data, login: &mut Login, request: &Request) -> Response {
    let Some(path) = login.within(&request.path).map(str::to_owned) else { return login.answer(request) };
    if let Some(refusal) = login.refuses(request) {
        return refusal;
    }
    answer::route(data, request, &path)
}
