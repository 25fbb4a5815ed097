//! One task for each person, or company, whatever happens.

use std::collections::BTreeSet;

use serde_json::json;

use super::{How, World, moods};
use crate::crm::follow_ups::{self, FollowUpFilter, Scope, Wish};
use crate::recipients::paging::PageArgs;
use crate::subject::{Role, Subject};

fn wish(per: Scope) -> Wish {
    Wish {
        title: "Ask for the new address".to_owned(),
        description: Some("It bounced.".to_owned()),
        due: None,
        per,
        link: Some("https://nachfass.example.com/campaigns/x".to_owned()),
    }
}

#[tokio::test]
async fn whatever_fails_there_is_one_task_each() {
    for seed in 0..8 {
        for world in World::each(90, 2).await {
            world.crm.expect(moods(seed, 60));
            let job =
                world.marketer().create_follow_ups(world.everybody(), wish(Scope::Person)).await.expect("ordered");
            let result = world.work_off(job.id).await;
            let tasks = world.crm.with(|state| state.tasks.values().cloned().collect::<Vec<_>>());
            let persons: BTreeSet<&str> = tasks.iter().map(|task| task.person.as_str()).collect();
            assert_eq!((tasks.len(), persons.len()), (60, 60), "seed {seed}: a third has nobody who is responsible");
            assert_eq!(result["added"], json!(60));
            let counts: Vec<_> = result["skippedByReason"].as_array().expect("a list").iter().collect();
            let counts: BTreeSet<String> =
                counts.iter().map(|skipped| format!("{} {}", skipped["reason"], skipped["count"])).collect();
            assert_eq!(counts, ["\"NOT_IN_CRM\" 2", "\"NO_OWNER\" 30"].map(str::to_owned).into());
            let text = tasks.first().and_then(|task| task.description.clone()).expect("a text");
            assert_eq!(text, "It bounced.\nhttps://nachfass.example.com/campaigns/x\nStatus: READY");
            // Ordered again, there is nothing to do.
            let job =
                world.marketer().create_follow_ups(world.everybody(), wish(Scope::Person)).await.expect("ordered");
            let result = world.work_off(job.id).await;
            assert_eq!((&result["added"], &result["unchanged"]), (&json!(0), &json!(60)));
            assert_eq!(world.crm.with(|state| state.tasks.len()), 60);
            world.close().await;
        }
    }
}

/// What an earlier order left undone is done by the next: refused by the CRM, or given up with its job.
#[tokio::test]
async fn a_new_order_takes_up_what_an_earlier_one_left() {
    for world in World::each(6, 0).await {
        world.crm.expect([How::Well, How::LostAnswer]);
        let order = async || {
            let order = world.marketer().create_follow_ups(world.everybody(), wish(Scope::Person)).await;
            order.expect("ordered").id
        };
        let first = order().await;
        let job = world.claim(first).await.expect("a job");
        assert!(follow_ups::run(&world.services, &job).await.is_err(), "an answer is lost");
        assert_eq!(world.count("SELECT count(*) FROM follow_up WHERE state = 2").await, 1, "the others were not tried");
        for sql in [
            format!("UPDATE job SET state = 4 WHERE id = {first}"),
            "UPDATE follow_up SET state = 4, error = 'no' WHERE id = (SELECT max(id) FROM follow_up)".to_owned(),
        ] {
            crate::db::execute(world.services.db.write(), &sql, []).await.expect("changed");
        }
        let result = world.work_off(order().await).await;
        assert_eq!((&result["added"], &result["unchanged"]), (&json!(3), &json!(1)), "{result}");
        assert_eq!(world.crm.with(|state| state.tasks.len()), 4, "one each");
        assert_eq!(world.count("SELECT count(*) FROM follow_up WHERE state = 3").await, 4);
        world.close().await;
    }
}

#[tokio::test]
async fn a_company_gets_one_task_for_all_of_its_persons() {
    for world in World::each(9, 0).await {
        let job = world.marketer().create_follow_ups(world.everybody(), wish(Scope::Company)).await.expect("ordered");
        world.work_off(job.id).await;
        let companies: Vec<_> =
            world.crm.with(|state| state.tasks.values().map(|task| task.company.clone().expect("one")).collect());
        let different: BTreeSet<_> = companies.iter().cloned().collect();
        assert_eq!(companies.len(), different.len());
        assert!(companies.len() > 1);
        world.close().await;
    }
}

#[tokio::test]
async fn tasks_are_listed_and_ticked_off() {
    for world in World::each(3, 0).await {
        let job = world.marketer().create_follow_ups(world.everybody(), wish(Scope::Person)).await.expect("ordered");
        world.work_off(job.id).await;
        let reader = world.services.access(Subject::command_line()).reader();
        let open = FollowUpFilter { done: Some(false), ..FollowUpFilter::default() };
        let tasks = reader.follow_ups(&open, &PageArgs::default()).await.expect("read").rows;
        assert_eq!(tasks.len(), 2);
        let done = world.marketer().set_follow_up_done(tasks[0].id, true).await.expect("ticked off");
        assert!(done.done_at.is_some());
        assert_eq!(reader.count_follow_ups(&open, 10).await.expect("counted").value, 1);
        let viewer = Subject { id: "token:1".to_owned(), name: "v".to_owned(), role: Role::Viewer };
        let seen = world.services.access(viewer).reader().follow_up(done.id).await.expect("read").expect("a task");
        assert_eq!((seen.owner, seen.description), (None, None));
        world.close().await;
    }
}
