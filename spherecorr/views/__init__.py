"""Pictures from results; nothing here knows Gradio."""
