use std::fmt::Write as _;

use async_graphql::parser::parse_query;
use proptest::prelude::*;

use super::*;

/// The code of the refusal; empty where the document may be executed.
fn code(text: &str) -> String {
    match check(&parse_query(text).expect("GraphQL")) {
        Ok(()) => String::new(),
        Err(error) => {
            let code = error.extensions.expect("extensions").get("code").expect("a code").to_string();
            code.trim_matches('"').to_owned()
        }
    }
}

fn fragments(count: usize, body: impl Fn(usize) -> String) -> String {
    (0..count).fold(String::new(), |mut text, index| {
        write!(text, " fragment F{index} on Query {{ {} }}", body(index)).expect("written");
        text
    })
}

#[test]
fn fragments_that_multiply_are_refused_at_once() {
    let tripled = fragments(16, |index| format!("...F{0} ...F{0} ...F{0}", index + 1)) + " fragment F16 on Query { a }";
    assert_eq!(code(&format!("{{ ...F0 }}{tripled}")), "TOO_COMPLEX");
    // Also where no operation spreads them, and where they hide in inline fragments or fields.
    assert_eq!(code(&format!("{{ a }}{tripled}")), "TOO_COMPLEX");
    let hidden =
        fragments(40, |index| format!("... {{ ...F{0} }} a {{ ...F{0} }}", index + 1)) + " fragment F40 on Query { a }";
    assert_eq!(code(&format!("{{ ...F0 }}{hidden}")), "TOO_COMPLEX");
}

#[test]
fn long_chains_and_cycles_of_fragments_are_refused() {
    let chain = fragments(150, |index| format!("...F{}", index + 1)) + " fragment F150 on Query { a }";
    assert_eq!(code(&format!("{{ ...F0 }}{chain}")), "TOO_COMPLEX");
    assert_eq!(code(&format!("{{ ...F0 }}{}", fragments(2_000, |_| "a".to_owned()))), "TOO_COMPLEX");
    assert_eq!(code("{ ...A } fragment A on Query { ...B } fragment B on Query { a { ...A } }"), "BAD_REQUEST");
    assert_eq!(code("{ a } fragment A on Query { ...A }"), "BAD_REQUEST");
    let operations: String = (0..51).map(|index| format!(" query q{index} {{ a }}")).collect();
    assert_eq!(code(&operations), "TOO_COMPLEX");
}

#[test]
fn what_clients_send_passes() {
    let relay = "query Page($id: ID!) { node(id: $id) { __typename id ...Head ...List } } \
        fragment Head on Campaign { id name statistics { sent opened } } \
        fragment List on Campaign { id name recipients(first: 10) { edges { cursor node { id ...Row } } pageInfo { hasNextPage } } } \
        fragment Row on Recipient { id email status address { health } }";
    assert_eq!(code(relay), "");
    // The standard query of graphql-js, as GraphiQL and code generators send it.
    let type_ref = "kind name ofType {".repeat(9) + "kind name" + &"}".repeat(9);
    let introspection = format!(
        "query IntrospectionQuery {{ __schema {{ description queryType {{ name kind }} mutationType {{ name kind }} subscriptionType {{ name kind }} \
         types {{ ...FullType }} directives {{ name description isRepeatable locations args(includeDeprecated: true) {{ ...InputValue }} }} }} }} \
         fragment FullType on __Type {{ kind name description specifiedByURL isOneOf fields(includeDeprecated: true) {{ name description \
         args(includeDeprecated: true) {{ ...InputValue }} type {{ ...TypeRef }} isDeprecated deprecationReason }} \
         inputFields(includeDeprecated: true) {{ ...InputValue }} interfaces {{ ...TypeRef }} \
         enumValues(includeDeprecated: true) {{ name description isDeprecated deprecationReason }} possibleTypes {{ ...TypeRef }} }} \
         fragment InputValue on __InputValue {{ name description type {{ ...TypeRef }} defaultValue isDeprecated deprecationReason }} \
         fragment TypeRef on __Type {{ {type_ref} }}"
    );
    assert_eq!(code(&introspection), "");
}

#[test]
fn introspection_that_multiplies_is_refused() {
    for text in [
        "{ __schema { types { fields { type { fields { name } } } } } }",
        "{ __type(name: \"Query\") { fields { type { possibleTypes { name } } } } }",
        "{ __type(name: \"Query\") { ...A } } fragment A on __Type { inputFields { type { ...B } } } fragment B on __Type { interfaces { name } }",
    ] {
        assert_eq!(code(text), "TOO_COMPLEX", "{text}");
    }
    let deep = format!("{{ __type(name: \"A\") {} }}", "{ ofType".repeat(20) + " { name }" + &"}".repeat(20));
    assert_eq!(code(&deep), "TOO_COMPLEX");
}

#[test]
fn aliases_and_repeated_fields_are_counted_wherever_they_stand() {
    let repeated = |field: &str, times: usize| format!("{{ {} }}", field.repeat(times));
    assert_eq!(code(&repeated(" campaigns { nodes { id } }", 32)), "TOO_COMPLEX");
    assert_eq!(code(&repeated(" campaign(id: 1)", 32)), "TOO_COMPLEX");
    assert_eq!(code(&repeated(" ... on Query { campaigns { nodes { id } } }", 32)), "TOO_COMPLEX");
    assert_eq!(code(&(repeated(" ...F", 32) + " fragment F on Query { campaigns { nodes { id } } }")), "TOO_COMPLEX");
    // Within a fragment that is spread several times, each alias counts as often.
    let aliases: String = (0..16).map(|index| format!(" a{index}: name")).collect();
    assert_eq!(code(&format!("{{ a {{ ...F }} b {{ ...F }} }} fragment F on A {{ {aliases} }}")), "TOO_COMPLEX");
    // Plain fields that many fragments ask for cost nothing.
    assert_eq!(code(&repeated(" id", 200)), "");
    assert_eq!(code("{ node { ... on A { b { c } } ... on B { b { c } } } }"), "");
}

#[test]
fn depth_counts_fields_and_not_the_fragments_around_them() {
    let nested = |depth: usize| "{ a".repeat(depth) + &"}".repeat(depth);
    assert_eq!(code(&nested(MAX_DEPTH)), "");
    assert_eq!(code(&nested(MAX_DEPTH + 1)), "TOO_COMPLEX");
    let inline = |depth: usize| format!("{{ {} a {} }}", "... { ".repeat(depth), "}".repeat(depth));
    assert_eq!(code(&inline(40)), "");
}

/// Expands a document literally; `None` where that would not end, or not soon.
fn expanded(document: &ExecutableDocument, set: &SelectionSet, level: usize, budget: &mut u64) -> Option<u64> {
    let mut count = 0;
    for item in &set.items {
        *budget = budget.checked_sub(1)?;
        let none = SelectionSet::default();
        let inner = match &item.node {
            Selection::Field(field) => &field.node.selection_set.node,
            Selection::InlineFragment(fragment) => &fragment.node.selection_set.node,
            Selection::FragmentSpread(spread) => document
                .fragments
                .get(&spread.node.fragment_name.node)
                .map_or(&none, |found| &found.node.selection_set.node),
        };
        if level > MAX_LEVELS {
            return None;
        }
        count += 1 + expanded(document, inner, level + 1, budget)?;
    }
    Some(count)
}

proptest! {
    /// Whatever passes expands to as much as the limit allows, and no more.
    #[test]
    fn what_passes_is_small(bodies in proptest::collection::vec(
        proptest::collection::vec(prop_oneof![
            (0_usize..6).prop_map(|index| format!("...F{index}")),
            (0_usize..6).prop_map(|index| format!("a {{ ...F{index} }}")),
            (0_usize..6).prop_map(|index| format!("... {{ b ...F{index} }}")),
            Just("c".to_owned()),
        ], 1..6), 6)) {
        let text = format!("{{ ...F0 }}{}", fragments(6, |index| bodies[index].join(" ")));
        let document = parse_query(&text).expect("GraphQL");
        let mut budget = MAX_SELECTIONS + 1;
        let sizes = roots(&document).map(|set| expanded(&document, set, 1, &mut budget)).collect::<Option<Vec<_>>>();
        if check(&document).is_ok() {
            let size: u64 = sizes.expect("it ends").iter().sum();
            prop_assert!(size <= MAX_SELECTIONS);
        }
    }
}
