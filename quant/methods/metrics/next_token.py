"""Language models: the distribution of the next token."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from quant.errors import InputMismatch
from quant.methods.metrics.base import MetricBase, SampleSums, Values, log_softmax, require_rank
from quant.outcome.task_figures import NEXT_TOKEN_AGREEMENT, PERPLEXITY, TOKEN_KL, TaskFigure


@dataclass(frozen=True)
class TokenTarget:
    """The right next token of each position (positions,); negative where a position does not count."""

    tokens: NDArray[np.int64]


class NextToken(MetricBase):
    """Agreement, divergence and perplexity of logits (positions, tokens); targets are the next tokens, -1 for none."""

    figures: ClassVar[tuple[TaskFigure, ...]] = (NEXT_TOKEN_AGREEMENT, TOKEN_KL, PERPLEXITY)
    name: Literal["next_token"] = "next_token"

    def decode(self, outputs: Sequence[NDArray[Any]]) -> NDArray[np.float64]:
        """Return the log-probabilities (positions, tokens); one position may lack its axis."""
        require_rank(self.name, outputs[0], 1, 2, axes="[positions, tokens]")
        return np.atleast_2d(log_softmax(outputs[0]))

    def target(self, values: NDArray[Any]) -> TokenTarget:
        """Return the next tokens."""
        if values.dtype.kind not in "iu" or values.ndim > 1:
            raise InputMismatch(
                f"metric {self.name}: a target is {values.dtype} of shape {list(values.shape)}; accepted: integer "
                "tokens [positions], -1 where a position does not count"
            )
        return TokenTarget(values.astype(np.int64).reshape(-1))

    def scorer(self) -> "TokenScores":
        """Return a scorer without samples."""
        return TokenScores()


class TokenScores(SampleSums):
    """A row holds the positions, and the sums over them of agreement and divergence, or of the likelihood."""

    def row(self, prediction: NDArray[np.float64], reference: NDArray[np.float64] | TokenTarget) -> Sequence[float]:
        """Return positions, agreeing positions, KL divergence and negative log-likelihood, the last two in nats.

        Raises:
            InputMismatch: there is not one target for each position, or a target is no token.
        """
        if isinstance(reference, TokenTarget):
            tokens = reference.tokens
            if len(tokens) != len(prediction) or tokens.max(initial=0) >= prediction.shape[1]:
                raise InputMismatch(
                    f"metric next_token: a target has {len(tokens)} tokens up to {tokens.max(initial=0)}; accepted: "
                    f"{len(prediction)} tokens below {prediction.shape[1]}"
                )
            counted = np.flatnonzero(tokens >= 0)
            return len(counted), 0, 0, -float(prediction[counted, tokens[counted]].sum())
        agreeing = int((prediction.argmax(axis=1) == reference.argmax(axis=1)).sum())
        probability = np.exp(reference)
        # a token without probability adds nothing, whatever its logarithms are
        terms = np.where(probability > 0, probability * (reference - prediction), 0)
        return len(prediction), agreeing, float(terms.sum()), 0

    def figures_of(self, sums: NDArray[np.float64]) -> Values:
        """Return the means over the positions."""
        return {
            NEXT_TOKEN_AGREEMENT.name: sums[:, 1] / sums[:, 0],
            TOKEN_KL.name: np.maximum(sums[:, 2] / sums[:, 0], 0),
            PERPLEXITY.name: np.exp(sums[:, 3] / sums[:, 0]),
        }
