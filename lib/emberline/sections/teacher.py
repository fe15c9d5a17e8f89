"""The section [cnn.teacher]: a trained network that another one learns from, beside the labels."""

from typing import Annotated

from pydantic import Field

from emberline.sections.base import Section, place

SETTING = "cnn.teacher"


class TeacherConfig(Section):
    """A trained network, whose answers to each picture another one learns beside what is true.

    Knowledge distillation (Hinton, Vinyals and Dean 2015): of classes the teacher's probabilities,
    of factors its predictions. A path alone, `teacher = "runs/large"`, is its root.
    """

    root: str = place(description="The root in which the teacher was trained.")
    weight: Annotated[float, Field(gt=0, le=1)] = Field(
        default=0.5,
        description="The share of the loss that is by the teacher's answers; the rest is by the "
        "labels, or the factors.",
    )
    temperature: Annotated[float, Field(gt=0)] = Field(
        default=1.0,
        description="By what logits of classes are divided before they are compared: the more, the "
        "more classes count that the teacher thinks unlikely, and the longer learning takes.",
    )
