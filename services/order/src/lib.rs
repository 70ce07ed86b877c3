//! Orders, tickets and the saga from hold to ticket and back.
