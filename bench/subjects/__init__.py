"""What is measured: networks of the zoo and of a user, layers of networks, zeros imposed on them, and their inputs."""
