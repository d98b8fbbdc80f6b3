"""The demo's services, to read and to copy from: a shop, its payments, and what they wait for."""
