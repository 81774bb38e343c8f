"""The web app's entry point: `python app.py`, `gradio app.py`, or a Hugging Face Space."""

from spherecorr.ui.blocks import build_demo, launch

demo = build_demo()

if __name__ == "__main__":
    launch(demo=demo)
