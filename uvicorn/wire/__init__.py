"""What the bytes mean: heads, bodies, replies, frames. Sans-IO; imports no other room."""
