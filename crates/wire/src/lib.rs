//! Views over kernel messages.
