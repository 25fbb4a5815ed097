//! Hostile input to GraphQL documents, variables and answers.
