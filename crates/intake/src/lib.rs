//! The way in besides the API: what sources bring, from a request's bytes to durable messages.
