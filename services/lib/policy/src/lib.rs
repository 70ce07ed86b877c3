//! The railway's numbers as one typed, validated, versioned policy file.
