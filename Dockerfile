# The app on a CPU, as small as PyTorch allows; also for a Docker Space (docs/space.md).
#   docker build -t spherecorr --build-arg TORCH_INDEX=URL . && docker run -p 7860:7860 spherecorr
# URL is the index of PyTorch's CPU wheels, as pytorch.org/get-started names it; without it come GPU builds of 6 GB.
FROM python:3.11-slim

# A Space runs its container as user 1000, and nothing here needs more.
RUN useradd --create-home --uid 1000 user
USER user
WORKDIR /home/user/app
ENV PATH=/home/user/.local/bin:$PATH PYTHONUNBUFFERED=1 PIP_NO_CACHE_DIR=1 GRADIO_ANALYTICS_ENABLED=False

# Both in one command and from one index: a mixed pair does not import.
ARG TORCH_INDEX=
RUN pip install torch torchvision ${TORCH_INDEX:+--index-url $TORCH_INDEX}
COPY --chown=user requirements.txt .
RUN pip install -r requirements.txt

# A volume over this folder keeps weights, and is the user's because the folder is.
RUN mkdir -p /home/user/.cache
COPY --chown=user . .
EXPOSE 7860
HEALTHCHECK --start-period=60s --timeout=10s \
    CMD python -c "from urllib.request import urlopen; urlopen('http://127.0.0.1:7860/', timeout=9)"
CMD ["python", "-m", "spherecorr", "app", "--host", "0.0.0.0", "--port", "7860"]
