"""The maps, against errors put where one knows."""

import numpy as np
from PIL import Image

from esrgan.evaluation.maps import (
    colour_scale,
    draw_doubt,
    draw_error,
    draw_winner,
    local_doubt,
    local_error,
    local_gain,
)


def test_local_gain_by_hand() -> None:
    """White is 219 of luma above black; a block at the border has the mean of the pixels it has."""
    truth = np.zeros((20, 17, 3), np.uint8)
    a, b = truth.copy(), truth.copy()
    a[0:8, 0:8] = 255  # b is right in the whole block
    b[16:18, 16] = 255  # a is right in half of the four pixels of the last block
    expected = np.zeros((3, 3))
    expected[0, 0], expected[2, 2] = 219**2, -(219**2) / 2
    np.testing.assert_allclose(local_gain(a, b, truth), expected, atol=1e-9)
    np.testing.assert_allclose(local_gain(b, a, truth), -expected, atol=1e-9)


def test_the_map_is_blue_where_b_is_closer_orange_where_a_is_and_grey_where_neither() -> None:
    truth = np.full((24, 24, 3), 100, np.uint8)
    a, b = truth.copy(), truth.copy()
    a[:8, :8] = 140
    b[16:, 16:] = 140
    drawn = np.asarray(draw_winner(*map(Image.fromarray, (a, b, truth)))).astype(int)
    assert drawn.shape == truth.shape
    blue, orange, grey = drawn[4, 4], drawn[20, 20], drawn[12, 12]
    assert blue[2] > blue[0] + 60
    assert orange[0] > orange[2] + 60
    assert len(set(grey)) == 1
    same = np.asarray(draw_winner(*map(Image.fromarray, (a, a, truth))))
    assert (same[..., 0] == same[..., 2]).all()


def test_local_error_by_hand() -> None:
    """A grey level is 219/255 of luma; a block at the border has the mean of the pixels it has."""
    truth = np.full((20, 17, 3), 100, np.uint8)
    result = truth.copy()
    result[0:8, 0:8] = 110
    result[16:18, 16] = 80  # half of the four pixels of the last block
    expected = np.zeros((3, 3))
    expected[0, 0], expected[2, 2] = 10 * 219 / 255, 20 * 219 / 255 / np.sqrt(2)
    np.testing.assert_allclose(local_error(result, truth), expected, atol=1e-9)


def test_the_error_is_black_where_there_is_none_and_brightest_from_32_levels_on() -> None:
    truth = np.full((20, 30, 3), 100, np.uint8)
    result = truth.copy()
    result[:8, 8:16], result[:8, 16:24], result[:8, 24:] = 119, 138, 200  # 16.3, 32.6 and 85.9 levels of luma
    drawn = np.asarray(draw_error(Image.fromarray(result), Image.fromarray(truth)))
    assert drawn.shape == truth.shape
    none, half, end, beyond = (tuple(map(int, drawn[7, x])) for x in (7, 8, 16, 29))
    assert tuple(map(int, drawn[8, 29])) == none == (0, 0, 3)
    assert sum(none) < sum(half) < sum(end)
    assert end == beyond == (252, 254, 164)
    assert colour_scale().endswith("#fcffa4)")


def test_local_doubt_by_hand() -> None:
    """Two of four results a grey level's 219/255 of luma higher each: the deviation is half of that."""
    results = [np.full((20, 17, 3), 100, np.uint8) for _ in range(4)]
    for result in results[:2]:
        result[:8, :8] += 10
    results[3][16:18, 16] += 20  # one of four, in half of the four pixels of the last block
    expected = np.zeros((3, 3))
    expected[0, 0], expected[2, 2] = 5 * 219 / 255, 20 * 219 / 255 * np.sqrt(3 / 16 / 2)
    np.testing.assert_allclose(local_doubt(results), expected, atol=1e-9)


def test_doubt_is_black_where_all_agree_however_wrong_and_brightest_from_10_levels_on() -> None:
    a = np.full((8, 24, 3), 100, np.uint8)
    b = a.copy()
    b[:, 8:16], b[:, 16:] = 112, 130  # deviations of 5.2 and 12.9 levels of luma
    drawn = np.asarray(draw_doubt([a, b]))
    none, half, end = (tuple(map(int, drawn[7, x])) for x in (7, 8, 23))
    assert none == (0, 0, 3)
    assert sum(none) < sum(half) < sum(end)
    assert end == (252, 254, 164)
