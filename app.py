"""The web app's entry point: `python app.py`, `gradio app.py`, or a Hugging Face Space."""

try:
    from spherecorr.ui.blocks import build_demo, launch
except RuntimeError as error:
    if "torchvision" not in str(error):
        raise
    raise SystemExit(
        "torch and torchvision do not fit together; install both with one command from one index: "
        "pip install --force-reinstall torch torchvision"
    ) from error

demo = build_demo()

if __name__ == "__main__":
    launch(demo=demo)
