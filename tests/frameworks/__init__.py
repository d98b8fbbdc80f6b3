"""The ASGI door in and around frameworks that the extra `frameworks` installs."""
