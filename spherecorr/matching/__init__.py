"""The one matcher: similarity, candidates, readout. The app, the API, `match` and the evaluation use it."""
