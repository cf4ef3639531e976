"""Where the scans are: six layouts, and no mixture of them."""

import pytest
from pydantic import ValidationError

from segtrain.data.settings import AugmentSettings, DataSettings, PatchSettings


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"root": "tree"}, "root belongs to layout: nnunet or decathlon or bids or dicom"),
        ({"layout": "dicom", "root": "tree", "images": "a", "channels": {"T1": "*"}}, "images belongs to layout: fol"),
        ({"layout": "dicom", "root": "t", "channels": {"T1": "*"}, "labels": "m", "label": "*M*"}, "two places"),
        ({"layout": "dicom", "root": "tree", "channels": ["T1"]}, "need patterns"),
        ({"images": "a", "label": "b"}, "label belongs to layout: bids or dicom; layout: folders has images, labels"),
        ({"images": "a", "labels": "b", "case": "*/*"}, "case belongs to layout: dicom"),
        ({"images": "a", "channels": {"T1": "*T1*"}}, "list of names"),
        ({"images": "a", "channels": []}, "at least one"),
        ({"layout": "dicom", "root": "t", "channels": {}}, "at least one"),
        ({"table": "a.csv", "images": "b"}, "images belongs to layout: folders; layout: table has table"),
        ({"layout": "dicom", "table": "a.csv", "channels": {"T1": "*"}}, "table belongs to layout: table"),
        ({"layout": "bids", "root": "t", "channels": ["T1"]}, "layout: bids need patterns"),
        ({"layout": "nnunet", "root": "t", "channels": {"T1": "*"}}, "layout: nnunet is a list of names"),
        ({"images": "a", "channels": ["T1", "T1"]}, "twice"),
        ({"images": "a", "modality": "pet"}, "modality"),
        ({"image": "a"}, "image"),
    ],
)
def test_a_mixture_of_layouts_is_refused_with_the_reason(options, words):
    with pytest.raises(ValidationError, match=words):
        DataSettings.model_validate(options)


def test_a_table_is_its_own_layout():
    assert DataSettings.model_validate({"table": "a.csv"}).layout == "table"
    again = DataSettings.model_validate(DataSettings.model_validate({"table": "a.csv"}).model_dump())
    assert again.table.name == "a.csv"
    assert DataSettings.model_validate({"images": "a", "table": None}).layout == "folders"


def test_a_tree_of_dicom_may_have_its_masks_in_a_folder():
    tree = {"layout": "dicom", "root": "tree", "channels": {"T1": "*T1*"}, "labels": "masks"}
    assert DataSettings.model_validate(tree).labels.name == "masks"


@pytest.mark.parametrize(
    ("options", "names"),
    [
        ({}, ("image",)),
        ({"channels": ["T2", "FLAIR"]}, ("T2", "FLAIR")),
        ({"layout": "dicom", "root": "t", "channels": {"T2": "*t2*", "ADC": "*adc*"}}, ("T2", "ADC")),
    ],
)
def test_channels_keep_the_order_in_which_they_are_written(options, names):
    assert DataSettings.model_validate(options).channel_names == names


@pytest.mark.parametrize("share", [-0.1, 1.1, float("nan")])
def test_a_share_lies_between_0_and_1(share):
    with pytest.raises(ValidationError, match="foreground_share"):
        PatchSettings(foreground_share=share)
    with pytest.raises(ValidationError, match=r"noise\.probability"):
        AugmentSettings(noise={"probability": share})


@pytest.mark.parametrize(
    ("kind", "key", "value"),
    [
        ("rotation", "degrees", -1),
        ("rotation", "degrees", 181),
        ("scale", "field_of_view", (0, 1.2)),
        ("scale", "field_of_view", (1.4, 0.7)),
        ("elastic", "displacement", (0, 0.41)),
        ("elastic", "points_voxels", 1),
        ("noise", "deviation", (-0.1, 0.1)),
        ("noise", "deviation", (0, float("inf"))),
        ("blur", "sigma_voxels", (1, 0.5)),
        ("low_resolution", "zoom", (0.5, 1.1)),
        ("low_resolution", "zoom", (0.8, 0.5)),
        ("contrast", "factor", (0.75,)),
        ("gamma", "exponent", (-1, 1)),
        ("gamma", "sigma", 1),
    ],
)
def test_a_range_that_is_none_is_refused_by_its_key(kind, key, value):
    with pytest.raises(ValidationError, match=rf"{kind}\.{key}"):
        AugmentSettings(**{kind: {key: value}})


def test_one_value_of_a_kind_leaves_the_others():
    settings = AugmentSettings(gamma={"probability": 0.5}, mirror_axes=(1,))
    assert settings.gamma.exponent == AugmentSettings().gamma.exponent
    assert (settings.gamma.probability, settings.noise) == (0.5, AugmentSettings().noise)
    with pytest.raises(ValidationError, match="mirror_axes"):
        AugmentSettings(mirror_axes=(3,))


def test_nothing_is_mirrored_unless_it_was_asked_for():
    assert AugmentSettings().mirror_axes == ()
