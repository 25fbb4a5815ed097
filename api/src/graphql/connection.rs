//! Connections: pages of lists with their cursors, as the Relay specification wants them.

use std::borrow::Cow;
use std::future::Future;

use async_graphql::connection::PageInfo;
use async_graphql::indexmap::IndexMap;
use async_graphql::parser::types::{Field, Selection, SelectionSet};
use async_graphql::registry::Registry;
use async_graphql::resolver_utils::resolve_list;
use async_graphql::{
    Context, ContextSelectionSet, Name, Object, OutputType, Positioned, ServerResult, SimpleObject, TypeName, Value,
};
use service::recipients::paging::{Count as Counted, Page, PageArgs};

use super::cost::{count_cost, turn};
use super::errors::Result;
use super::scalars::int;

/// A list that is shown page by page.
pub trait List: Send + Sync {
    /// What it lists.
    type Node: OutputType;
    /// The name of its connection's type.
    const CONNECTION: &'static str;
    /// The name of its edges' type.
    const EDGE: &'static str;

    /// The value of a field of a node that is there already and takes no arguments; `None` for all others. A page on which
    /// nothing else is asked for is put together at once (see [`Nodes`]).
    fn plain(_node: &Self::Node, _field: &str) -> Option<Value> {
        None
    }

    /// How many there are, counted up to `max`.
    fn count(&self, ctx: &Context<'_>, max: i64) -> impl Future<Output = Result<Counted>> + Send;
}

/// A page of a list.
pub struct Connection<L: List> {
    list: L,
    page: Page<L::Node>,
}

impl<L: List> Connection<L> {
    /// A page of `list`.
    pub const fn new(list: L, page: Page<L::Node>) -> Self {
        Self { list, page }
    }
}

impl<L: List> TypeName for Connection<L> {
    fn type_name() -> Cow<'static, str> {
        L::CONNECTION.into()
    }
}

/// A page of a list.
#[Object(name_type)]
impl<L: List> Connection<L> {
    /// What is on the page, each with its cursor.
    async fn edges(&self) -> Vec<Edge<'_, L>> {
        self.page.rows.iter().enumerate().map(|(index, node)| Edge { page: &self.page, index, node }).collect()
    }

    /// What is on the page.
    async fn nodes(&self) -> Nodes<'_, L> {
        Nodes(&self.page.rows)
    }

    /// Where the page lies in the list.
    async fn page_info(&self) -> Result<PageInfo> {
        Ok(PageInfo {
            has_previous_page: self.page.has_previous,
            has_next_page: self.page.has_next,
            start_cursor: self.page.cursor(0)?,
            end_cursor: self.page.end_cursor()?,
        })
    }

    /// Number of items in the whole list. Counting stops at `max` unless the total is known from a roll-up.
    #[graphql(complexity = "count_cost(max) + child_complexity")]
    async fn total_count(
        &self,
        ctx: &Context<'_>,
        #[graphql(default = 10000, desc = "Where counting ends, at most 1,000,000.")] max: i32,
    ) -> Result<Count> {
        let _turn = turn(ctx, true).await;
        let count = self.list.count(ctx, max.into()).await?;
        Ok(Count { value: int(count.value), exact: count.exact })
    }
}

/// The rows of a page.
///
/// The library makes a future for each field of each row, which for a page of 100 is most of what the request costs. Where all
/// fields that are asked for are plain ones, the rows are put together here without; else they are resolved as usual.
pub struct Nodes<'a, L: List>(&'a [L::Node]);

impl<L: List> Nodes<'_, L> {
    /// The rows, if they can be put together at once.
    fn put_together(&self, selection: &SelectionSet) -> Option<Value> {
        let fields: Vec<(&Name, &str)> =
            selection.items.iter().map(|item| plain_field(&item.node)).collect::<Option<_>>()?;
        let row = |node: &L::Node| {
            let mut object = IndexMap::with_capacity(fields.len());
            for (key, field) in &fields {
                object.insert((*key).clone(), L::plain(node, field)?);
            }
            Some(Value::Object(object))
        };
        self.0.iter().map(row).collect::<Option<Vec<_>>>().map(Value::List)
    }
}

/// The key in the answer and the name of a field without arguments, directives and fields of its own.
fn plain_field(selection: &Selection) -> Option<(&Name, &str)> {
    let Selection::Field(field) = selection else { return None };
    let field = &field.node;
    let plain = field.arguments.is_empty() && field.directives.is_empty() && field.selection_set.node.items.is_empty();
    plain.then(|| (&field.response_key().node, field.name.node.as_str()))
}

impl<L: List> OutputType for Nodes<'_, L> {
    fn type_name() -> Cow<'static, str> {
        <&[L::Node]>::type_name()
    }

    fn qualified_type_name() -> String {
        <&[L::Node]>::qualified_type_name()
    }

    fn create_type_info(registry: &mut Registry) -> String {
        <&[L::Node]>::create_type_info(registry)
    }

    async fn resolve(&self, ctx: &ContextSelectionSet<'_>, field: &Positioned<Field>) -> ServerResult<Value> {
        match self.put_together(&ctx.item.node) {
            Some(rows) => Ok(rows),
            None => resolve_list(ctx, field, self.0, Some(self.0.len())).await,
        }
    }
}

/// A place on a page.
pub struct Edge<'a, L: List> {
    page: &'a Page<L::Node>,
    index: usize,
    node: &'a L::Node,
}

impl<L: List> TypeName for Edge<'_, L> {
    fn type_name() -> Cow<'static, str> {
        L::EDGE.into()
    }
}

/// Something on a page, and where it stands.
#[Object(name_type)]
impl<L: List> Edge<'_, L> {
    /// What stands here.
    async fn node(&self) -> &L::Node {
        self.node
    }

    /// For `after` and `before`. It serves this list only, in this order and with this filter.
    async fn cursor(&self) -> Result<String> {
        Ok(self.page.cursor(self.index)?.unwrap_or_default())
    }
}

/// How many there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, SimpleObject)]
pub struct Count {
    /// So many; at least so many where it is not exact.
    value: i32,
    /// Whether it is not more.
    exact: bool,
}

/// The part of a list that the arguments of a field ask for.
pub(super) fn page_args(
    first: Option<i32>,
    after: Option<String>,
    last: Option<i32>,
    before: Option<String>,
) -> PageArgs {
    PageArgs { first: first.map(i64::from), after, last: last.map(i64::from), before }
}
