//! One client stack, one server stack, identity, deadlines and errors for every role.
