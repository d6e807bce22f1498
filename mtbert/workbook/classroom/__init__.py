"""For courses: student and instructor editions of the notebooks, and grading of what comes back."""
