from segtrain.data.recognise.recognised import channel_names, plain_name, some


def test_channels_get_plain_names_of_their_own():
    assert channel_names(["T1 post", "T1-post", "*"]) == ["T1_post_0", "T1_post_1", "image"]
    assert plain_name("acq-3d_T1w") == "acq_3d_T1w"


def test_long_lists_are_cut():
    assert some(list("abcdef")) == "a, b, c, d and 2 more"
    assert some(["a"]) == "a"
