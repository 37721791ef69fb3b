//! What is read, construct by construct.
