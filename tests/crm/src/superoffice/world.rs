//! The stand-in as the contract's world.

use std::collections::BTreeSet;
use std::sync::Arc;

use domain::crm::{ListKind, Person, SelectionKind};
use domain::{Clock, Timestamp};
use futures::FutureExt;
use futures::future::BoxFuture;

use super::SuperOffice;
use super::data::{self, EMAILS, Email, List};
use crate::clock::TestClock;
use crate::contract::{Task, World};

impl World for (&SuperOffice, Arc<TestClock>) {
    fn enter<'a>(&'a self, person: &'a Person) -> BoxFuture<'a, String> {
        async move {
            let data = &mut self.0.lock().data;
            let now = data.now();
            let number = |id: Option<&String>| id.map_or(0, |id| id.parse().expect("a number"));
            let id = data.enter(data::Person {
                name: person.name.clone().unwrap_or_default(),
                company: number(person.company.as_ref().map(|company| &company.id)),
                associate: number(person.owner.as_ref().map(|owner| &owner.id)),
                emails: Vec::new(),
                retired: person.is_former_employee,
                no_mail: person.no_mailing,
                consent: person.consent == Some(true),
                subscriptions: person.subscriptions.clone().unwrap_or_default(),
                updated: now,
                deleted: false,
            });
            let emails = (id * EMAILS..).zip(&person.emails);
            let emails = emails.map(|(id, address)| Email { id, address: address.clone(), updated: now }).collect();
            data.change(id, |person| person.emails = emails);
            id.to_string()
        }
        .boxed()
    }

    fn companies(&self) -> BoxFuture<'_, [String; 2]> {
        async { ["900001".to_owned(), "900002".to_owned()] }.boxed()
    }

    fn owners(&self) -> BoxFuture<'_, [String; 2]> {
        async { ["1".to_owned(), "2".to_owned()] }.boxed()
    }

    fn readdress<'a>(&'a self, person: &'a str, email: &'a str) -> BoxFuture<'a, ()> {
        async move {
            self.0.change(person.parse().expect("a number"), |person| person.emails[0].address = email.to_owned());
        }
        .boxed()
    }

    fn remove<'a>(&'a self, person: &'a str) -> BoxFuture<'a, ()> {
        async move { self.0.change(person.parse().expect("a number"), |person| person.deleted = true) }.boxed()
    }

    fn make_list<'a>(&'a self, kind: ListKind, name: &'a str, how: SelectionKind) -> BoxFuture<'a, Option<String>> {
        async move {
            let data = &mut self.0.lock().data;
            let id = data.next_id();
            let (name, description) = (name.to_owned(), String::new());
            data.lists_mut(kind).insert(id, List { name, description, kind: how, members: BTreeSet::new() });
            Some(id.to_string())
        }
        .boxed()
    }

    fn tasks(&self) -> BoxFuture<'_, Vec<Task>> {
        async {
            let data = &self.0.lock().data;
            let task = |(id, entity): (&i64, &serde_json::Value)| {
                let text = |value: &serde_json::Value| value.as_str().unwrap_or_default().to_owned();
                Task {
                    id: id.to_string(),
                    owner: entity["Associate"]["AssociateId"].to_string(),
                    person: entity["Person"]["PersonId"].to_string(),
                    title: text(&entity["Title"]),
                    description: text(&entity["Description"]),
                    due: format!("{}Z", text(&entity["StartDate"])).parse().ok(),
                }
            };
            data.appointments.iter().map(task).collect()
        }
        .boxed()
    }

    fn bounces<'a>(&'a self, email: &'a str) -> BoxFuture<'a, u32> {
        async move { self.0.lock().data.bounces.get(email).copied().unwrap_or_default() }.boxed()
    }

    fn an_hour_later(&self) -> BoxFuture<'_, Timestamp> {
        async {
            self.1.pass(3_600);
            self.1.now()
        }
        .boxed()
    }
}
