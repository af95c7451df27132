"""When things are made: definitions, jobs, schedules and sensors. Nothing imports this package."""
