//! Tokens in memory.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use domain::crm::{Token, TokenStore};
use futures::FutureExt;
use futures::future::BoxFuture;

/// Keeps tokens as long as it lives.
#[derive(Default)]
pub struct MemoryTokens(Mutex<BTreeMap<String, Token>>);

impl TokenStore for MemoryTokens {
    fn get<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Option<Token>> {
        async move { self.0.lock().unwrap_or_else(PoisonError::into_inner).get(name).cloned() }.boxed()
    }

    fn put<'a>(&'a self, name: &'a str, token: &'a Token) -> BoxFuture<'a, ()> {
        async move {
            self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(name.to_owned(), token.clone());
        }
        .boxed()
    }
}
