"""The user study of section 4.6 as a tool: an A/B page that works offline, and the scores of its answers."""
