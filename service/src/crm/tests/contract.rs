//! The built-in CRM is one like any other.

use std::sync::Arc;

use crm_testing::clock::TestClock;
use crm_testing::contract::{self, Task, World};
use domain::crm::{Company, ListKind, Owner, Person, SelectionKind};
use domain::email::key_of;
use domain::{Clock, Timestamp};
use futures::FutureExt;
use futures::future::BoxFuture;
use sea_orm::Value;

use crate::crm::builtin::Builtin;
use crate::crm::lists::table;
use crate::crm::mirror;
use crate::db::{Db, execute, query_all};
use crate::testing::TestDb;

struct Tables {
    db: Db,
    clock: Arc<TestClock>,
}

impl Tables {
    async fn run<const N: usize>(&self, sql: &str, values: [Value; N]) {
        execute(self.db.write(), sql, values).await.expect(sql);
    }

    fn now(&self) -> Value {
        self.clock.now().micros().into()
    }
}

impl World for Tables {
    fn enter<'a>(&'a self, person: &'a Person) -> BoxFuture<'a, String> {
        async move {
            let id = ulid::Ulid::generate().to_string();
            // Their names are known: those who enter them say the ids only.
            let company = person.company.clone().map(|company| Company { name: "A company".to_owned(), ..company });
            let owner = person.owner.clone().map(|owner| Owner { name: "A user".to_owned(), ..owner });
            let person = Person { id: id.clone(), company, owner, ..person.clone() };
            let transaction = self.db.begin_keyed().await.expect("begun");
            mirror::write(&transaction, &[person], None, self.clock.now()).await.expect("written");
            transaction.commit().await.expect("committed");
            id
        }
        .boxed()
    }

    fn companies(&self) -> BoxFuture<'_, [String; 2]> {
        async { ["c1", "c2"].map(str::to_owned) }.boxed()
    }

    fn owners(&self) -> BoxFuture<'_, [String; 2]> {
        async { ["o1", "o2"].map(str::to_owned) }.boxed()
    }

    fn readdress<'a>(&'a self, person: &'a str, email: &'a str) -> BoxFuture<'a, ()> {
        async move {
            let sql = "UPDATE person_email SET email = $2, email_key = $3 WHERE rank = 0 AND person_id = (SELECT id FROM person WHERE crm_id = $1)";
            self.run(sql, [person.into(), email.into(), key_of(email).into()]).await;
            self.run("UPDATE person SET updated_at = $2 WHERE crm_id = $1", [person.into(), self.now()]).await;
        }
        .boxed()
    }

    fn remove<'a>(&'a self, person: &'a str) -> BoxFuture<'a, ()> {
        self.run("UPDATE person SET deleted_at = $2 WHERE crm_id = $1", [person.into(), self.now()]).boxed()
    }

    fn make_list<'a>(&'a self, kind: ListKind, name: &'a str, how: SelectionKind) -> BoxFuture<'a, Option<String>> {
        async move {
            let sql = format!(
                "INSERT INTO {} (key, crm_id, name, kind, created_by, created_at) VALUES ($1, $1, $2, $3, 'test', $4)",
                table(kind)
            );
            let id = ulid::Ulid::generate().to_string();
            self.run(&sql, [id.clone().into(), name.into(), how.code().into(), self.now()]).await;
            Some(id)
        }
        .boxed()
    }

    fn tasks(&self) -> BoxFuture<'_, Vec<Task>> {
        async {
            let sql = "SELECT f.key, f.owner_id, p.crm_id, f.title, COALESCE(f.description, ''), f.due_at \
                       FROM follow_up f JOIN person p ON p.id = f.person_id";
            let rows = query_all(self.db.read(), sql, []).await.expect("read");
            let task = |row: &sea_orm::QueryResult| {
                let text = |index: usize| row.try_get_by_index::<String>(index).expect("a text");
                let due = row.try_get_by_index::<Option<i64>>(5).expect("a time").map(Timestamp::from_micros);
                Task { id: text(0), owner: text(1), person: text(2), title: text(3), description: text(4), due }
            };
            rows.iter().map(task).collect()
        }
        .boxed()
    }

    fn bounces<'a>(&'a self, email: &'a str) -> BoxFuture<'a, u32> {
        async move {
            let sql = "SELECT CAST(COALESCE(sum(bounces), 0) AS BIGINT) FROM person_email WHERE email_key = $1";
            let rows = query_all(self.db.read(), sql, [key_of(email).into()]).await.expect("read");
            u32::try_from(rows[0].try_get_by_index::<i64>(0).expect("a number")).expect("small")
        }
        .boxed()
    }

    fn an_hour_later(&self) -> BoxFuture<'_, Timestamp> {
        async {
            self.clock.pass(3_600);
            self.clock.now()
        }
        .boxed()
    }
}

#[tokio::test]
async fn the_built_in_crm_passes() {
    for test in TestDb::each().await {
        let clock = Arc::new(TestClock::default());
        let world = Tables { db: test.db.clone(), clock: clock.clone() };
        contract::passes(&Builtin::new(test.db.clone(), clock), &world).await;
        test.close().await;
    }
}
