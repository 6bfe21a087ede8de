"""Detectors of sensitive text, local and in process: what they find, where and how often, never the value."""

from app.services.detectors.kinds import DETECTOR_FAILURE, UNINSPECTED, Kind, Span
from app.services.detectors.policy import DetectionPolicy
from app.services.detectors.scan import Detectors, Field

__all__ = ["DETECTOR_FAILURE", "UNINSPECTED", "DetectionPolicy", "Detectors", "Field", "Kind", "Span"]
