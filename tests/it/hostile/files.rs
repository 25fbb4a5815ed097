//! Hostile input to uploads, imports, exports and what a viewer sees.
