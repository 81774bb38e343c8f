"""The web app's entry point: `python app.py`, `gradio app.py`, or a Hugging Face Space."""

from spherecorr.ui.space import prepare_space

prepare_space()

from spherecorr.ui.blocks import build_demo, launch  # noqa: E402

demo = build_demo()

if __name__ == "__main__":
    launch(demo=demo)
