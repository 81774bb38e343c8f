"""KAP explained: an example's annotated keypoints, and what each adds to the KAP of its pair."""

from __future__ import annotations

from plotly.graph_objects import Figure

from spherecorr.data.records import ImageRecord, PairRecord
from spherecorr.evaluation.scoring import score_pairs
from spherecorr.ui.engine import Engine
from spherecorr.ui.examples import Example
from spherecorr.ui.failures import sentence
from spherecorr.ui.session import Controls, Session, Visit
from spherecorr.views.curves import keypoint_figure, keypoint_scores

THRESHOLD, PROTOCOL = 0.1, "corrected"
NO_KEYPOINTS = "KAP needs annotated keypoints. Choose an example pair, neither mirrored nor swapped."
EXPLAINED = (
    "KAP asks whether the fused similarity itself knows what is right: every green dot (the highest similarity near a "
    "keypoint) should lie to the right of every red mark (the highest anywhere else)."
)


class GroundTruth:
    """Explains the KAP of example pairs.

    Args:
        engine: of the app.
        examples: by id.
    """

    def __init__(self, engine: Engine, examples: dict[str, Example]):
        self.engine, self.examples = engine, examples

    def explain(self, session: Session, controls: Controls) -> tuple[Figure | None, str]:
        """The plot of the pair that the page shows, None where there is none; and a sentence."""
        visit = session.visit
        try:
            example = self._example(visit)
            if example is None or visit.pair is None:
                return None, NO_KEYPOINTS
            if not self.engine.is_ready(visit, controls):
                return None, "The keypoints are explained when the features are computed."
            return self._figure(example, visit, controls), EXPLAINED
        except Exception as error:
            return None, sentence(error)

    def _example(self, visit: Visit) -> Example | None:
        """The example that a visit shows as it is."""
        if visit.pair is None or any(picture.mirrored for picture in visit.pair):
            return None
        paths = [picture.path for picture in visit.pair]
        return next((e for e in self.examples.values() if [str(e.source), str(e.target)] == paths), None)

    def _figure(self, example: Example, visit: Visit, controls: Controls) -> Figure:
        pictures = dict(zip(("source", "target"), visit.pair or (), strict=True))
        features = {role: self.engine.features(picture, controls) for role, picture in pictures.items()}
        found = {role: self.engine.sphere_map(picture, controls) for role, picture in pictures.items()}
        spheres = {role: sphere for role, sphere in found.items() if sphere is not None}
        alpha = controls.alpha if len(spheres) == len(pictures) else 0.0
        size = features["source"].framing.image_size
        source = ImageRecord("source", example.source, size, example.id, None, example.source_keypoints)
        size, box = features["target"].framing.image_size, example.target_box
        target = ImageRecord("target", example.target, size, example.id, box, example.target_keypoints)
        table = score_pairs(
            [PairRecord(example.id, source, target)],
            features,
            spheres or None,
            [alpha],
            settings=self.engine.match_settings(controls),
            objects={role: self.engine.subject(picture, controls).cells for role, picture in pictures.items()},
            thresholds=(THRESHOLD,),
            protocols=(PROTOCOL,),
        )
        return keypoint_figure(*keypoint_scores(table))
