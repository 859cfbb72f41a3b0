"""Its place puts tests/ on the path, so that every room finds the helpers of tests/support/."""
