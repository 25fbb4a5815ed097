//! A CRM in memory: it does what it is asked for, twice if asked twice, and fails as it is told.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Mutex;

use domain::Timestamp;
use domain::crm::{
    Account, Answer, Bounce, Company, Crm, CrmError, EmailChange, List, ListKind, Member, NewList, NewTask, Owner,
    Page, Person, PersonQuery, SelectionKind, Told,
};
use tokio::sync::Notify;

/// What becomes of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum How {
    /// It is answered.
    Well,
    /// It takes effect, and the answer is lost.
    LostAnswer,
    /// It takes effect, and is never answered.
    Hang,
    /// It does not take effect, and is never answered.
    HangBefore,
    /// It is refused for now.
    Busy,
}

#[derive(Default)]
pub struct State {
    pub persons: BTreeMap<String, (Person, Timestamp)>,
    pub lists: BTreeMap<String, (ListKind, String, Vec<String>)>,
    pub tasks: BTreeMap<String, NewTask>,
    pub bounces: BTreeMap<String, usize>,
    /// Whom it refuses as a member.
    pub refused: Vec<String>,
    /// It does not show who is on its lists.
    pub members_refused: bool,
    pub moods: VecDeque<How>,
    /// The requests that it got, by name.
    pub asked: Vec<String>,
    pub page: usize,
}

#[derive(Default)]
pub struct Fake {
    pub state: Mutex<State>,
    hangs: Notify,
}

impl Fake {
    pub fn with_persons(count: usize) -> Self {
        let fake = Self::default();
        {
            let mut state = fake.state.lock().expect("no panic");
            state.page = 100;
            for number in 1..=count {
                let owner = number % 3 + 1;
                let person = Person {
                    id: format!("p{number}"),
                    name: Some(format!("Person {number}")),
                    company: Some(Company { id: format!("c{}", number / 3), name: format!("Company {}", number / 3) }),
                    owner: Some(Owner {
                        id: format!("o{owner}"),
                        name: format!("Owner {owner}"),
                        is_active: owner < 3,
                    }),
                    emails: vec![format!("p{number}@example.com")],
                    ..Person::default()
                };
                state.persons.insert(person.id.clone(), (person, Timestamp::from_micros(0)));
            }
        }
        fake
    }

    pub fn all_persons(&self) -> Vec<Person> {
        self.with(|state| state.persons.values().map(|(person, _)| person.clone()).collect())
    }

    pub fn with<T>(&self, act: impl FnOnce(&mut State) -> T) -> T {
        act(&mut self.state.lock().expect("no panic"))
    }

    pub fn expect(&self, moods: impl IntoIterator<Item = How>) {
        self.with(|state| state.moods = moods.into_iter().collect());
    }

    /// Until a request hangs from now on.
    pub fn hung(&self) -> impl Future<Output = ()> + '_ {
        self.hangs.notified()
    }

    async fn ask<T>(&self, what: &str, act: impl FnOnce(&mut State) -> Result<T, CrmError>) -> Result<T, CrmError> {
        let unavailable = |may_have_happened| {
            Err(CrmError::Unavailable { source: "as told".into(), may_have_happened, retry_after: Some(1) })
        };
        let how = self.with(|state| {
            state.asked.push(what.to_owned());
            state.moods.pop_front().unwrap_or(How::Well)
        });
        match how {
            How::Well => self.with(act),
            How::LostAnswer => self.with(act).and_then(|_| unavailable(true)),
            How::Busy => unavailable(false),
            How::Hang | How::HangBefore => {
                if how == How::Hang {
                    drop(self.with(act));
                }
                self.hangs.notify_one();
                std::future::pending().await
            }
        }
    }
}

fn slice<T>(rows: Vec<T>, after: Option<&str>, size: usize) -> Page<T> {
    let from: usize = after.map_or(0, |after| after.parse().expect("a place"));
    let next = (from + size < rows.len()).then(|| (from + size).to_string());
    Page { rows: rows.into_iter().skip(from).take(size).collect(), next }
}

impl Crm for Fake {
    fn name(&self) -> &'static str {
        "fake"
    }

    fn check(&self) -> Answer<'_, Account> {
        Box::pin(async { Ok(Account { crm: "fake".to_owned(), user: "test".to_owned(), rights: Vec::new() }) })
    }

    fn persons<'a>(&'a self, query: &'a PersonQuery) -> Answer<'a, Page<Person>> {
        Box::pin(self.ask("persons", |state| {
            let since = query.changed_since.unwrap_or(Timestamp::from_micros(i64::MIN));
            let rows =
                state.persons.values().filter(|(_, at)| *at >= since).map(|(person, _)| person.clone()).collect();
            Ok(slice(rows, query.after.as_deref(), state.page))
        }))
    }

    fn person<'a>(&'a self, id: &'a str) -> Answer<'a, Option<Person>> {
        Box::pin(self.ask("person", move |state| Ok(state.persons.get(id).map(|(person, _)| person.clone()))))
    }

    fn lists<'a>(&'a self, kind: ListKind, after: Option<&'a str>) -> Answer<'a, Page<List>> {
        Box::pin(self.ask("lists", move |state| {
            let of_kind = state.lists.iter().filter(|(_, (of, ..))| *of == kind);
            let list = |(id, (_, name, _)): (&String, &(ListKind, String, Vec<String>))| List {
                id: id.clone(),
                name: name.clone(),
                description: None,
                kind: SelectionKind::Static,
            };
            Ok(slice(of_kind.map(list).collect(), after, state.page))
        }))
    }

    fn members<'a>(&'a self, _kind: ListKind, list: &'a str, after: Option<&'a str>) -> Answer<'a, Page<Member>> {
        Box::pin(self.ask("members", move |state| {
            if state.members_refused {
                return Err(CrmError::Refused("they are not shown".to_owned()));
            }
            let (_, _, members) = state.lists.get(list).ok_or(CrmError::NotFound)?;
            let member = |person: &String| Member { person: person.clone(), company: None };
            Ok(slice(members.iter().map(member).collect(), after, state.page))
        }))
    }

    fn create_list<'a>(&'a self, new: &'a NewList, again: bool) -> Answer<'a, String> {
        Box::pin(self.ask("create_list", move |state| {
            // The key stands in the list's name here.
            let name = format!("{} [{}]", new.name, new.key);
            if again && let Some((id, _)) = state.lists.iter().find(|(_, (_, known, _))| *known == name) {
                return Ok(id.clone());
            }
            let id = format!("l{}", state.lists.len() + 1);
            state.lists.insert(id.clone(), (new.kind, name, Vec::new()));
            Ok(id)
        }))
    }

    fn add_members<'a>(&'a self, _kind: ListKind, list: &'a str, members: &'a [Member]) -> Answer<'a, ()> {
        Box::pin(self.ask("add_members", move |state| {
            if members.iter().any(|member| state.refused.contains(&member.person)) {
                return Err(CrmError::Refused("one of them is not wanted".to_owned()));
            }
            let (_, _, known) = state.lists.get_mut(list).ok_or(CrmError::NotFound)?;
            known.extend(members.iter().map(|member| member.person.clone()));
            Ok(())
        }))
    }

    fn remove_members<'a>(&'a self, _kind: ListKind, list: &'a str, members: &'a [Member]) -> Answer<'a, ()> {
        Box::pin(self.ask("remove_members", move |state| {
            let (_, _, known) = state.lists.get_mut(list).ok_or(CrmError::NotFound)?;
            known.retain(|person| members.iter().all(|member| member.person != *person));
            Ok(())
        }))
    }

    fn create_task<'a>(&'a self, task: &'a NewTask, again: bool) -> Answer<'a, String> {
        Box::pin(self.ask("create_task", move |state| {
            if again && let Some((id, _)) = state.tasks.iter().find(|(_, known)| known.key == task.key) {
                return Ok(id.clone());
            }
            let id = format!("t{}", state.tasks.len() + 1);
            state.tasks.insert(id.clone(), task.clone());
            Ok(id)
        }))
    }

    fn change_email<'a>(&'a self, _change: &'a EmailChange) -> Answer<'a, ()> {
        Box::pin(self.ask("change_email", |_| Ok(())))
    }

    fn withdraw_consent<'a>(&'a self, person: &'a str) -> Answer<'a, ()> {
        Box::pin(self.ask("withdraw_consent", move |state| {
            state.persons.get_mut(person).ok_or(CrmError::NotFound)?.0.consent = Some(false);
            Ok(())
        }))
    }

    fn mark_former_employee<'a>(&'a self, person: &'a str) -> Answer<'a, ()> {
        Box::pin(self.ask("mark_former_employee", move |state| {
            state.persons.get_mut(person).ok_or(CrmError::NotFound)?.0.is_former_employee = true;
            Ok(())
        }))
    }

    fn add_bounce<'a>(&'a self, bounce: &'a Bounce) -> Answer<'a, ()> {
        Box::pin(self.ask("add_bounce", move |state| {
            *state.bounces.entry(bounce.email.clone()).or_default() += 1;
            Ok(())
        }))
    }

    fn told(&self, _headers: &[(String, String)], body: &[u8]) -> Option<Vec<Told>> {
        match body {
            b"signed" => Some(vec![Told::Persons]),
            b"signed: projects" => Some(vec![Told::Projects]),
            b"signed: both" => Some(vec![Told::Projects, Told::Persons]),
            b"signed: nothing" => Some(vec![Told::Nothing]),
            _ => None,
        }
    }
}
