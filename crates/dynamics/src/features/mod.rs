//! Private learning from a feature perspective: a signal patch, a noise patch, and who learns which.
